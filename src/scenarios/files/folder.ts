import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import type { ConfigurationCache } from '../../database/configuration-cache.ts';
import type { ScenarioFile } from './format.ts';
import { checkFileProviders, type ImportDependencies, importScenarios } from './import.ts';
import { findMissingTools, type GivenTools } from './missing-tools.ts';
import { readScenarioFolder } from './read.ts';

/** What importing the scenario files into the tenants needs. */
export interface FolderDependencies extends ImportDependencies {
  readonly config: ConfigurationCache;
  readonly logger: Logger;
  /** The tools that every tenant has in addition to its own. */
  readonly givenTools: GivenTools;
}

/** Tenants that are known to be up to date; beyond them the least recently used are checked again. */
const maxTenants = 20_000;

/**
 * The scenario files of a folder (SCENARIOS_DIR), read once at the start. Each tenant gets the files that are for it:
 * tenants that exist when the server starts get them then, the others when they are first seen. A file that a tenant has
 * loaded in its present form is skipped, so that later changes by mutations stay; a file that has changed is applied.
 */
export class ScenarioFolder {
  readonly #deps: FolderDependencies;
  readonly #files: readonly ScenarioFile[];
  /** The import of each tenant: running or done. */
  readonly #imports = new LRUCache<string, Promise<void>>({ max: maxTenants });

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

  /** Imports into all existing tenants what they lack. Takes two statements if they lack nothing. */
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

  /** Imports into a tenant what it lacks; once per process. Safe to run several times at once, on any instance. */
  async load(tenantId: string): Promise<void> {
    const known = this.#imports.get(tenantId);
    if (known) return known;
    const files = this.#filesOf(tenantId);
    if (files.length === 0) return;
    const loading = this.#import(tenantId, files);
    this.#imports.set(tenantId, loading);
    try {
      await loading;
    } catch (error) {
      this.#imports.delete(tenantId);
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
    if (missingTools.length > 0) logger.warn({ tenantId, missingTools }, 'scenario files refer to unknown tools');
  }

  #filesOf(tenantId: string): ScenarioFile[] {
    return this.#files.filter(({ content: { tenant } }) => tenant === undefined || tenant === tenantId);
  }
}
