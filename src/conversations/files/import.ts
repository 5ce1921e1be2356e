import type { AgentDependencies } from '../../agents/dependencies.ts';
import { findDefaultAgent } from '../../agents/resolve.ts';
import { SwitchboardError, UnavailableError } from '../../api/errors.ts';
import { badInput, parseInput } from '../../api/input.ts';
import type { UploadedFile } from '../../api/uploaded-file.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Database } from '../../database/client.ts';
import type { ExportRuntime } from '../../exports/runtime.ts';
import type { ConversationFeed } from '../../feed/conversation-feed.ts';
import type { Conversation } from '../../generated/prisma/client.ts';
import type { RateLimit } from '../../limits/rate-limit.ts';
import { type NewConversation, planConversation } from '../create.ts';
import { convertChatGpt } from './chatgpt.ts';
import { checkImported } from './check.ts';
import { nameConversation } from './export.ts';
import { type ConversationInFile, conversationInFile, fileFormat, fileVersion } from './format.ts';
import { linkParts } from './link.ts';
import { type FileItem, readItems, UnreadableFileError } from './read-items.ts';
import { storeImported } from './store.ts';

/** What one import may hold and take. */
const maxConversations = 1_000;
const maxNotes = 1_000;
const maxMs = 240_000;

/** What importing conversations needs. */
export interface ImportDependencies {
  readonly db: Database;
  readonly feed: ConversationFeed;
  readonly exports: ExportRuntime;
  /** With what guardrails check the texts. */
  readonly agents: AgentDependencies;
  /** How often a message may be checked by guardrails that ask a provider. */
  readonly turnLimit: RateLimit;
  readonly clientGone: AbortSignal | null;
}

/** What an import has made. */
export interface ImportResult {
  readonly conversations: readonly Conversation[];
  /** What was left out and why, a sentence each. */
  readonly skipped: readonly string[];
}

/**
 * Imports the conversations of a file as new ones of the viewer, each in a transaction of its own: one that cannot be imported is
 * left out as a whole. The file is read piece by piece, so that one conversation at a time is in memory as an object.
 * Guardrails for INPUT check all texts, as they do in createMessage.
 * @throws {BadUserInputError} if nothing of the file can be read; {@link RateLimitedError} if the viewer is importing already
 */
export async function importConversations(
  viewer: Viewer,
  deps: ImportDependencies,
  file: UploadedFile,
): Promise<ImportResult> {
  using _slot = deps.exports.importing.enter(viewer);
  const { maxImportBytes } = deps.exports;
  if (file.data.length > maxImportBytes)
    throw badInput(
      ['file'],
      `must have at most ${maxImportBytes / 1_000_000} MB, and it has ${file.data.length} bytes`,
    );
  const importing = new Import(viewer, deps);
  try {
    for await (const item of readItems(file.data)) if (!(await importing.take(item))) break;
  } catch (error) {
    if (!(error instanceof UnreadableFileError)) throw error;
    if (importing.conversations.length === 0) throw badInput(['file'], error.message);
    importing.note(`The file ${error.message}: what follows in it was left out.`);
  }
  if (!importing.hasBegun && !importing.isOfThisFormat) throw badInput(['file'], 'has no conversations');
  if (importing.conversations.length > 0) deps.feed.wake(viewer);
  return importing;
}

class Import implements ImportResult {
  readonly conversations: Conversation[] = [];
  readonly skipped: string[] = [];
  readonly #viewer: Viewer;
  readonly #deps: ImportDependencies;
  readonly #endsAt = performance.now() + maxMs;
  #seen = 0;
  #format: unknown = null;

  constructor(viewer: Viewer, deps: ImportDependencies) {
    this.#viewer = viewer;
    this.#deps = deps;
  }

  /** Whether a conversation was read, or left out. */
  get hasBegun(): boolean {
    return this.#seen > 0;
  }

  get isOfThisFormat(): boolean {
    return this.#format === fileFormat;
  }

  /** @returns false: nothing more is read */
  async take(item: FileItem): Promise<boolean> {
    if (item.kind === 'header') {
      if (item.key === 'format') this.#format = item.value;
      if (item.key === 'version' && this.isOfThisFormat && item.value !== fileVersion)
        throw badInput(['file'], `has the version ${JSON.stringify(item.value)}, and must have ${fileVersion}`);
      return true;
    }
    if (this.#deps.clientGone?.aborted) throw new UnavailableError('The client disconnected before the import ended.');
    if (this.conversations.length >= maxConversations)
      return this.#stop(`an import makes at most ${maxConversations} conversations`);
    if (performance.now() > this.#endsAt) return this.#stop(`an import takes at most ${maxMs / 1_000} seconds`);
    this.#seen += 1;
    const what = `Conversation ${this.#seen}`;
    if (item.kind === 'unreadable') this.note(`${what} was left out: ${item.reason}.`);
    else await this.#import(item.value, what);
    return true;
  }

  /** Says what was left out; of very many notes, the first ones. */
  note(text: string): void {
    if (this.skipped.length < maxNotes) this.skipped.push(text);
    else if (this.skipped.length === maxNotes) this.skipped.push('More was left out than is listed here.');
  }

  #stop(why: string): false {
    this.note(`The conversations after number ${this.#seen} were left out: ${why}.`);
    return false;
  }

  async #import(value: unknown, what: string): Promise<void> {
    try {
      const notes: string[] = [];
      const parsed = parseInput(conversationInFile, convertChatGpt(value, notes) ?? value, []);
      const name = `${what} ${nameConversation(parsed.title)}`;
      const stored = await this.#store(parsed, notes);
      this.conversations.push(stored);
      for (const note of notes) this.note(`${name}: ${note}`);
    } catch (error) {
      if (!(error instanceof SwitchboardError) || error instanceof UnavailableError) throw error;
      this.note(`${what} was left out: ${error.message.replace(/^: /, '')}`);
    }
  }

  async #store(parsed: ConversationInFile, notes: string[]): Promise<Conversation> {
    const { db } = this.#deps;
    const plan = await planImported(this.#viewer, db, parsed, notes);
    const linked = await linkParts(this.#viewer, db, parsed, notes);
    const agentId = plan.followsDefault ? await findDefaultAgent(this.#viewer, this.#deps.agents) : plan.activeAgentId;
    const guardedBy = typeof agentId === 'string' ? { agentId, scenarioId: plan.scenarioId } : null;
    const checked = await checkImported(this.#viewer, this.#deps, guardedBy, { ...linked, title: plan.title });
    return storeImported(this.#viewer, db, { plan, parsed, checked });
  }
}

/** Where a conversation goes: what the viewer may not use of its agent, its scenario and its project is left out. */
async function planImported(
  viewer: Viewer,
  db: Database,
  { title, autoTitle, agentId, scenarioKey, projectId }: ConversationInFile,
  notes: string[],
): Promise<NewConversation> {
  const tries = [
    { agentId, scenarioKey, projectId },
    { agentId: null, scenarioKey, projectId },
    { agentId, scenarioKey: null, projectId },
    { agentId: null, scenarioKey: null, projectId },
    { agentId: null, scenarioKey, projectId: null },
  ];
  for (const input of tries) {
    try {
      const plan = await planConversation(viewer, db, null, input, ['conversation']);
      const lost = [
        agentId !== null && input.agentId === null && 'agent',
        scenarioKey !== null && input.scenarioKey === null && 'scenario',
        projectId !== null && input.projectId === null && 'project',
      ].filter((kind) => kind !== false);
      if (lost.length > 0) notes.push(`left out, since you cannot use it here: its ${lost.join(', its ')}.`);
      return { ...plan, title, autoTitle };
    } catch (error) {
      if (!(error instanceof SwitchboardError) || error instanceof UnavailableError) throw error;
    }
  }
  notes.push('left out, since you cannot use it here: its agent, its scenario, its project.');
  return { ...(await planConversation(viewer, db, null, {}, ['conversation'])), title, autoTitle };
}
