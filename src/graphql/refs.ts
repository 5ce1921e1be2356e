import type { Viewer } from '../auth/viewer.ts';
import type { GuardDecision } from '../engine/guard.ts';
import type { Failure } from '../engine/ports.ts';
import type { Guardrail } from '../guardrails/config.ts';
import type { Usage } from '../runs/read/usage.ts';
import { builder } from './builder.ts';

// Types that several nouns have fields of, so that no noun's graphql/ folder depends on that of a noun above it.

/** Agents in the graph. */
export const AgentRef = builder.prismaObject('Agent', {});

/** Scenarios in the graph. */
export const ScenarioRef = builder.prismaObject('Scenario', {});

/** Projects in the graph. */
export const ProjectRef = builder.prismaObject('Project', {});

/** Knowledge bases in the graph. */
export const KnowledgeBaseRef = builder.prismaObject('KnowledgeBase', {});

/** Documents of knowledge bases in the graph. */
export const KnowledgeDocumentRef = builder.prismaObject('KnowledgeDocument', {});

/** Viewers in the graph. */
export const ViewerRef = builder.objectRef<Viewer>('Viewer');

/** Failures of runs, and of tests of agents, in the graph. */
export const RunErrorRef = builder.objectRef<Failure>('RunError');

/** Token usage in the graph. */
export const UsageRef = builder.objectRef<Usage>('Usage');

/** Guardrails of agents and scenarios, in the graph. */
export const GuardrailRef = builder.objectRef<Guardrail>('Guardrail');

/** What guardrails decided, in the graph. */
export const ModerationDecisionRef = builder.objectRef<GuardDecision>('ModerationDecision');

/** Guardrails as agents and scenarios are given them: the input checks what they hold. */
export const GuardrailInputRef = builder.inputRef<Readonly<Record<string, unknown>>>('GuardrailInput');
