import type { Logger } from 'pino';
import type { ConfigurationCache } from '../../database/configuration-cache.ts';
import type { ScenarioFile } from './format.ts';
import { checkFileProviders, type ImportDependencies, importScenarios } from './import.ts';
import { findMissingTools, type GivenTools } from './missing-tools.ts';
import { readScenarioFolder } from './read.ts';

/** What it takes to keep the tenants' scenarios as the files have them. */
export interface FolderDependencies extends ImportDependencies {
  readonly config: ConfigurationCache;
  readonly logger: Logger;
  /** What every tenant has beside its own tools. */
  readonly givenTools: GivenTools;
}

/** Tenants that are remembered to have what they get: beyond them the oldest are looked up again. */
const maxRemembered = 20_000;

/**
 * The scenario files of a folder (SCENARIOS_DIR), read once at the start. Each tenant gets those that are for it: the
 * tenants that there are when the server starts, the others when they are first met. A file that a tenant has loaded as
 * it is now is passed over, so that what was changed by mutations since then stays; one that has changed is applied.
 */
export class ScenarioFolder {
  readonly #deps: FolderDependencies;
  readonly #files: readonly ScenarioFile[];
  /** Tenants by when they were loaded, oldest first. */
  readonly #loaded = new Map<string, Promise<void>>();

  constructor(deps: FolderDependencies, files: readonly ScenarioFile[]) {
    this.#deps = deps;
    this.#files = files;
  }

  /**
   * Reads a folder; null: no files. Nothing is written.
   * @throws {ScenarioFileError} naming the file that cannot be used, and why
   */
  static async open(deps: FolderDependencies, folder: string | null): Promise<ScenarioFolder> {
    const files = folder === null ? [] : await readScenarioFolder(folder);
    for (const file of files) checkFileProviders(deps, file);
    return new ScenarioFolder(deps, files);
  }

  /** Gives all tenants that there are what they lack. Two statements where they lack nothing. */
  async loadAll(): Promise<void> {
    if (this.#files.length === 0) return;
    const checksums = this.#files.map(({ checksum }) => checksum);
    const tenants = await this.#deps.db.tenant.findMany({ select: { id: true }, orderBy: { id: 'asc' } });
    const rows = await this.#deps.db.scenario.findMany({
      where: { loadedWith: { in: checksums } },
      select: { tenantId: true, loadedWith: true },
    });
    const has = new Set(rows.map(({ tenantId, loadedWith }) => JSON.stringify([tenantId, loadedWith])));
    for (const { id } of tenants) {
      const lacks = this.#filesOf(id).some(({ checksum }) => !has.has(JSON.stringify([id, checksum])));
      if (lacks) await this.load(id);
    }
  }

  /** Gives a tenant what it lacks; once per process. Any number at once, on any instance. */
  async load(tenantId: string): Promise<void> {
    const known = this.#loaded.get(tenantId);
    if (known) return known;
    const files = this.#filesOf(tenantId);
    if (files.length === 0) return;
    const loading = this.#import(tenantId, files);
    this.#loaded.set(tenantId, loading);
    const [oldest] = this.#loaded.keys();
    if (this.#loaded.size > maxRemembered && oldest !== undefined) this.#loaded.delete(oldest);
    try {
      await loading;
    } catch (error) {
      this.#loaded.delete(tenantId);
      throw error;
    }
  }

  async #import(tenantId: string, files: readonly ScenarioFile[]): Promise<void> {
    const { db, config, logger, givenTools } = this.#deps;
    const reports = await importScenarios(this.#deps, tenantId, files, { mark: true });
    if (reports.length === 0) return;
    config.drop(tenantId);
    for (const { file, scenario } of reports) {
      logger.info({ tenantId, file: file.path, key: file.content.scenario.key, ...scenario }, 'a scenario was loaded');
    }
    const loaded = reports.map(({ file }) => file);
    const missingTools = await findMissingTools(tenantId, db, loaded, givenTools);
    if (missingTools.length > 0)
      logger.warn({ tenantId, missingTools }, 'scenario files name tools that there are not');
  }

  #filesOf(tenantId: string): ScenarioFile[] {
    return this.#files.filter(({ content: { tenant } }) => tenant === undefined || tenant === tenantId);
  }
}
