import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { z } from 'zod';

/** What a run says of one suite. */
export interface Suite {
  /** Its path from the working directory. */
  readonly file: string;
  readonly passed: number;
  /** How many tests ran. */
  readonly ran: number;
  readonly skipped: number;
  readonly failed: readonly { readonly name: string; readonly cause: string }[];
  /** Whether it failed although each of its tests passed. */
  readonly isBroken: boolean;
  /** What it says that broke before its tests, or after them. */
  readonly message: string;
  readonly seconds: number;
}

export type Report = readonly Suite[];

const reportShape = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      startTime: z.number(),
      endTime: z.number(),
      message: z.string().default(''),
      assertionResults: z.array(
        z.object({
          status: z.string(),
          fullName: z.string().default(''),
          // null for what is thrown and is no error.
          failureMessages: z.array(z.string().nullable()).nullish(),
        }),
      ),
    }),
  ),
});

/** The first lines of what failed, which name the cause. */
const beginning = (message: string): string => message.split('\n').slice(0, 12).join('\n').slice(0, 2_000);

/** Reads a JSON report of vitest. @throws if it is none */
export function readReport(path: string): Report {
  const { testResults } = reportShape.parse(JSON.parse(readFileSync(path, 'utf8')));
  return testResults.map(({ name, status, startTime, endTime, message, assertionResults }) => {
    const passed = assertionResults.filter((test) => test.status === 'passed').length;
    const failed = assertionResults
      .filter((test) => test.status === 'failed')
      .map(({ fullName, failureMessages }) => ({
        name: fullName,
        cause: beginning((failureMessages ?? []).map((text) => text ?? 'What was thrown is no error.').join('\n')),
      }));
    const ran = passed + failed.length;
    return {
      file: relative(process.cwd(), name),
      passed,
      ran,
      skipped: assertionResults.length - ran,
      failed,
      isBroken: ran > 0 && failed.length === 0 && status === 'failed',
      message: beginning(message),
      seconds: (endTime - startTime) / 1_000,
    };
  });
}
