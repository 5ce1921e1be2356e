import type { Viewer } from '../auth/viewer.ts';
import type { Failure } from '../engine/ports.ts';
import type { Usage } from '../runs/read/usage.ts';
import { builder } from './builder.ts';

/** Agents in the graph. Other nouns have fields of this type, and none of them may know the agents' folder. */
export const AgentRef = builder.prismaObject('Agent', {});

/** Who asks, in the graph. */
export const ViewerRef = builder.objectRef<Viewer>('Viewer');

/** Failures of runs, and of what is tried like one. */
export const RunErrorRef = builder.objectRef<Failure>('RunError');

/** Token usage. */
export const UsageRef = builder.objectRef<Usage>('Usage');
