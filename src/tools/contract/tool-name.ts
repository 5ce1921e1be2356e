import { z } from 'zod';

/** The name of a tool as providers take it (OpenAI, Azure and Bedrock: letters, digits, _ and -, at most 64). */
export const toolName = z
  .string({ error: 'must be the name of a tool' })
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be the name of a tool: 1 to 64 letters, digits, _ or -');
