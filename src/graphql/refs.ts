import type { Viewer } from '../auth/viewer.ts';
import type { Failure } from '../engine/ports.ts';
import type { Usage } from '../runs/read/usage.ts';
import { builder } from './builder.ts';

// Types that several nouns have fields of, so that no noun's graphql/ folder depends on that of a noun above it.

/** Agents in the graph. */
export const AgentRef = builder.prismaObject('Agent', {});

/** Viewers in the graph. */
export const ViewerRef = builder.objectRef<Viewer>('Viewer');

/** Failures of runs, and of tests of agents, in the graph. */
export const RunErrorRef = builder.objectRef<Failure>('RunError');

/** Token usage in the graph. */
export const UsageRef = builder.objectRef<Usage>('Usage');
