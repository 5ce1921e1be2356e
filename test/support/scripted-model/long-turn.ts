import type { TestStep } from './script.ts';

/** How often the model is asked in the turn of `scriptTurn`. */
export const modelCalls = 4;

/**
 * A turn with all that a turn can have: a message and a handoff, reasoning and a tool call, and a message whose first
 * try breaks off and is taken back.
 * @param content what the user says in it, and nowhere else
 */
export function scriptTurn(content: string, delayMs = 2): TestStep[] {
  const match: NonNullable<TestStep['match']> = ({ messages }) =>
    messages.some((message) => message.role === 'user' && message.content === content);
  const steps: TestStep[] = [
    {
      text: 'I ask the orders desk for you.',
      calls: [{ name: 'transfer_to_orders', arguments: { reason: 'An order.' } }],
    },
    {
      reasoning: ['They', ' want', ' 1042.'],
      calls: [{ name: 'lookup_order', arguments: { orderNumber: '1042' } }],
    },
    { text: 'Your order 👩‍🚀 was', misbehave: 'truncate' },
    { text: ['Your', ' 📦', ' is', ' on', ' its', ' way', ':', '\n', '“in', ' two', ' days”', '.'] },
  ];
  return steps.map((step) => ({ ...step, match, delayMs }));
}
