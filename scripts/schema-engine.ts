import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory, type ColumnType, ColumnTypeEnum } from '@prisma/driver-adapter-utils';
import type { SchemaEngine as Engine, MigrationList } from '@prisma/schema-engine-wasm';
import { SchemaEngine } from '@prisma/schema-engine-wasm';
import pg from 'pg';
import { openEmbeddedPostgres } from '../src/database/embedded/embedded.ts';
import { migrationsFolder } from '../src/database/migrate.ts';

const schemaPath = join(import.meta.dirname, '../prisma/schema.prisma');

/**
 * The SQL that leads from the migrations to schema.prisma; empty when they agree.
 *
 * Prisma's own engine computes it, as WASM, against an embedded database that lives as long as this call:
 * nothing is downloaded and no server is needed.
 */
export async function diffMigrations(folder = migrationsFolder): Promise<string> {
  const schema = { content: await readFile(schemaPath, 'utf8'), path: schemaPath };
  const shadowFolder = await mkdtemp(join(tmpdir(), 'switchboard-shadow-'));
  try {
    await using shadow = await openEmbeddedPostgres(shadowFolder);
    const engine: Engine = await SchemaEngine.new(
      { datamodels: [[schema.path, schema.content]] },
      () => {},
      bindMigrationAwareSqlAdapterFactory(new ShadowPrismaPg(shadow.url)),
    );
    try {
      const difference = await engine.diff({
        from: { tag: 'migrations', ...(await listMigrations(folder)) },
        to: { tag: 'schemaDatamodel', files: [schema] },
        script: true,
        exitCode: true,
        filters: { externalTables: [], externalEnums: [] },
      });
      return difference.exitCode === 0 ? '' : (difference.stdout ?? '');
    } finally {
      engine.free();
    }
  } finally {
    await rm(shadowFolder, { recursive: true, force: true });
  }
}

async function listMigrations(folder: string): Promise<MigrationList> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return {
    baseDir: folder,
    lockfile: { path: 'migration_lock.toml', content: await readFile(join(folder, 'migration_lock.toml'), 'utf8') },
    shadowDbInitScript: '',
    migrationDirectories: await Promise.all(
      names.sort().map(async (name) => ({
        path: name,
        migrationFile: {
          path: 'migration.sql',
          content: { tag: 'ok' as const, value: await readFile(join(folder, name, 'migration.sql'), 'utf8') },
        },
      })),
    ),
  };
}

/** PrismaPg for the engine: the whole database is the shadow, and a script goes to the server unsplit. */
class ShadowPrismaPg extends PrismaPg {
  constructor(url: string) {
    super({ connectionString: url, max: 2 });
  }

  override async connect() {
    const adapter = await super.connect();
    const pool = adapter.underlyingDriver();
    adapter.executeScript = async (script) => {
      // PrismaPg would cut the script at each semicolon, those in strings and functions included.
      await pool.query(script);
    };
    adapter.queryRaw = async (query) => {
      // PrismaPg does not know the catalogues' own one-byte type "char", which the engine reads a lot of.
      const { fields, rows } = await pool.query<unknown[]>({ text: query.sql, values: query.args, rowMode: 'array' });
      return {
        columnNames: fields.map((field) => field.name),
        columnTypes: fields.map((field) => columnTypes.get(field.dataTypeID) ?? ColumnTypeEnum.Text),
        rows,
      };
    };
    return adapter;
  }

  override connectToShadowDb() {
    return this.connect();
  }
}

const { BOOL, CHAR, INT2, INT4, INT8, OID, FLOAT8 } = pg.types.builtins;
const textArray = 1009;
const nameArray = 1003;

/** The types that the catalogue queries of the engine return; everything else is text. */
const columnTypes = new Map<number, ColumnType>([
  [BOOL, ColumnTypeEnum.Boolean],
  [CHAR, ColumnTypeEnum.Character],
  [INT2, ColumnTypeEnum.Int32],
  [INT4, ColumnTypeEnum.Int32],
  [INT8, ColumnTypeEnum.Int64],
  [OID, ColumnTypeEnum.Int64],
  [FLOAT8, ColumnTypeEnum.Double],
  [textArray, ColumnTypeEnum.TextArray],
  [nameArray, ColumnTypeEnum.TextArray],
]);
