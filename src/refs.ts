import type { Viewer } from './auth/viewer.ts';
import { builder } from './builder.ts';

/** Agents in the graph. Other nouns have fields of this type, and none of them may know the agents' folder. */
export const AgentRef = builder.prismaObject('Agent', {});

/** Who asks, in the graph. */
export const ViewerRef = builder.objectRef<Viewer>('Viewer');
