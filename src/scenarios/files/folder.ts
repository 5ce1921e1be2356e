import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import type { ConfigurationCache } from '../../database/configuration-cache.ts';
import type { ScenarioFile } from './format.ts';
import { checkFileProviders, type ImportDependencies, importScenarios } from './import.ts';
import { type CommonToolNames, findMissingTools } from './missing-tools.ts';
import { readScenarioFolder } from './read.ts';

/** What loading scenario files for tenants needs. */
export interface FolderDependencies extends ImportDependencies {
  readonly config: ConfigurationCache;
  readonly logger: Logger;
  /** The operator's tools, which every tenant has. */
  readonly commonTools: CommonToolNames;
}

/** How many loaded tenants are cached. */
const maxCachedTenants = 20_000;

/**
 * The scenario files of a folder (SCENARIOS_DIR), read once when the server starts. Each tenant gets the files that are
 * for it: existing tenants when the server starts, new ones with their first request. A file that did not change since a
 * tenant loaded it is skipped, so that later changes by mutations stay; a changed file is applied again.
 */
export class ScenarioFolder {
  readonly #deps: FolderDependencies;
  readonly #files: readonly ScenarioFile[];
  /** The loading of each tenant, by tenant. */
  readonly #loaded = new LRUCache<string, Promise<void>>({ max: maxCachedTenants });

  constructor(deps: FolderDependencies, files: readonly ScenarioFile[]) {
    this.#deps = deps;
    this.#files = files;
  }

  /**
   * Reads the files of a folder. Nothing is written.
   * @param folder null: no files
   * @throws {ScenarioFileError} naming the file that cannot be used, and why
   */
  static async open(deps: FolderDependencies, folder: string | null): Promise<ScenarioFolder> {
    const files = folder === null ? [] : await readScenarioFolder(folder);
    for (const file of files) checkFileProviders(deps, file, { withoutKeys: true });
    return new ScenarioFolder(deps, files);
  }

  /** Loads the files that existing tenants have not loaded. Two statements if there are none. */
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

  /** Loads the files that a tenant has not loaded, once per process. It can be called concurrently, on any instance. */
  async load(tenantId: string): Promise<void> {
    const known = this.#loaded.get(tenantId);
    if (known) return known;
    const files = this.#filesOf(tenantId);
    if (files.length === 0) return;
    const loading = this.#import(tenantId, files);
    this.#loaded.set(tenantId, loading);
    try {
      await loading;
    } catch (error) {
      this.#loaded.delete(tenantId);
      throw error;
    }
  }

  async #import(tenantId: string, files: readonly ScenarioFile[]): Promise<void> {
    const { db, config, logger, commonTools } = this.#deps;
    // The tenant works without it, and gets the file once it has the project and the server starts again.
    const onMissingProject = ({ path, content: { scenario } }: ScenarioFile) =>
      logger.warn(
        { tenantId, file: path, project: scenario.projectId },
        'scenario file not loaded: the tenant does not have its project',
      );
    const reports = await importScenarios(this.#deps, tenantId, files, { mark: true, onMissingProject }).finally(() =>
      config.drop(tenantId),
    );
    for (const { file, scenario } of reports) {
      logger.info({ tenantId, file: file.path, key: file.content.scenario.key, ...scenario }, 'scenario file loaded');
    }
    const loaded = reports.map(({ file }) => file);
    const missingTools = await findMissingTools(tenantId, db, loaded, commonTools);
    if (missingTools.length > 0) logger.warn({ tenantId, missingTools }, 'scenario files refer to unknown tools');
  }

  #filesOf(tenantId: string): ScenarioFile[] {
    return this.#files.filter(({ content: { tenant } }) => tenant === undefined || tenant === tenantId);
  }
}
