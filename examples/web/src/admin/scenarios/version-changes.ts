import type { MemberDraft, ScenarioDraft } from './scenario-draft.ts';

/**
 * What has changed in a scenario from one version to another, in words.
 * @returns one sentence for each change; none: both are the same
 */
export function describeChanges(
  then: ScenarioDraft,
  now: ScenarioDraft,
  nameOf: (agentId: string) => string,
): readonly string[] {
  const changes: string[] = [];
  const compare = (what: string, before: string, after: string) => {
    if (before !== after) changes.push(`${what} was ${quote(before)}, and is ${quote(after)}.`);
  };
  compare('The name', then.name, now.name);
  compare('The key', then.key, now.key);
  compare('The description', then.description, now.description);
  compare('The project', then.projectId ?? '', now.projectId ?? '');
  if (then.isActive !== now.isActive)
    changes.push(now.isActive ? 'New conversations may use it now.' : 'New conversations may not use it any more.');
  if (then.rootAgentId !== now.rootAgentId)
    changes.push(`Conversations started with ${nameOf(then.rootAgentId)}, and start with ${nameOf(now.rootAgentId)}.`);
  changes.push(...describeMembers(then.members, now.members, nameOf));
  if (chooserOf(then) !== chooserOf(now)) changes.push('Who answers is chosen in another way.');
  changes.push(...describeGuardrails(then, now));
  if (changes.length === 0 && JSON.stringify(then) !== JSON.stringify(now)) changes.push('The order is another one.');
  return changes;
}

const quote = (text: string): string => (text === '' ? 'empty' : `“${text}”`);

function describeMembers(
  then: readonly MemberDraft[],
  now: readonly MemberDraft[],
  nameOf: (agentId: string) => string,
): string[] {
  const before = new Map(then.map((member) => [member.agentId, describedHandoffs(member)]));
  const after = new Map(now.map((member) => [member.agentId, describedHandoffs(member)]));
  const changes: string[] = [];
  for (const agentId of before.keys())
    if (!after.has(agentId)) changes.push(`${nameOf(agentId)} is no member any more.`);
  for (const agentId of after.keys()) if (!before.has(agentId)) changes.push(`${nameOf(agentId)} is a member now.`);
  for (const [agentId, targets] of after) {
    const targetsBefore = before.get(agentId);
    if (!targetsBefore) continue;
    const from = nameOf(agentId);
    for (const [to, when] of targets) {
      const whenBefore = targetsBefore.get(to);
      // A member that came or went took its handoffs with it: that was said.
      if (whenBefore === undefined && before.has(to)) changes.push(`${from} hands over to ${nameOf(to)} now.`);
      else if (whenBefore !== undefined && whenBefore !== when)
        changes.push(`When ${from} hands over to ${nameOf(to)} was ${quote(whenBefore)}, and is ${quote(when)}.`);
    }
    for (const to of targetsBefore.keys())
      if (!targets.has(to) && after.has(to)) changes.push(`${from} does not hand over to ${nameOf(to)} any more.`);
  }
  return changes;
}

const describedHandoffs = ({ handoffs }: MemberDraft): ReadonlyMap<string, string> =>
  new Map(handoffs.map(({ toAgentId, description }) => [toAgentId, description]));

const chooserOf = ({ mode, threshold, instructions, classifierAgentId }: ScenarioDraft): string =>
  JSON.stringify([mode, threshold, instructions, classifierAgentId]);

function describeGuardrails({ guardrails: then }: ScenarioDraft, { guardrails: now }: ScenarioDraft): string[] {
  const before = new Map(then.map((guardrail) => [guardrail.name, JSON.stringify(guardrail)]));
  const after = new Map(now.map((guardrail) => [guardrail.name, JSON.stringify(guardrail)]));
  return [
    ...[...before.keys()].filter((name) => !after.has(name)).map((name) => `The guardrail ${quote(name)} is gone.`),
    ...[...after].flatMap(([name, text]) => {
      const textBefore = before.get(name);
      if (textBefore === undefined) return [`The guardrail ${quote(name)} is new.`];
      return textBefore === text ? [] : [`The guardrail ${quote(name)} is different.`];
    }),
  ];
}
