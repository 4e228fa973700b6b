// State that must survive the agent: numbers that the datapath, flows and people know, and texts that sources would
// otherwise lose. SQLite in WAL mode; everything else is rebuilt from sources and the pinned maps.
import { join } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { DocumentName } from './api/types.ts'
import { BackgroundFlush } from './background-flush.ts'
import { AgentError } from './errors.ts'
import { messageOf } from './log.ts'
import { NumberPool } from './number-pool.ts'

/** Each space has its own numbers; `last` is the largest that its records can hold, and `Store.open` may be told a lower one. */
export const NUMBER_SPACES = {
  identity: { first: 256, last: 0xff_ffff }, // 24 bits: it fits a VXLAN network identifier
  rule: { first: 1, last: 0xffff_ffff },
  backend: { first: 1, last: 0xffff_ffff }, // index of the array `backends`; 0 is never used
  service: { first: 1, last: 0xffff_ffff },
  endpoint: { first: 1, last: 0xffff_ffff },
} as const
export type NumberSpace = keyof typeof NUMBER_SPACES
export type LastNumbers = Readonly<Partial<Record<NumberSpace, number>>>

/** A manifest that came through the API. */
export interface AppliedManifest extends DocumentName {
  readonly text: string
}

/**
 * Of 4 KiB. A commit that finds more in the log empties it and waits for the disk: 15 to 30 ms if nothing of it was
 * written there before, 3 ms if it was.
 */
const LOG_PAGES = 4_000

/** For what nobody waits for. */
const COMMIT_AFTER_MS = 100

const NUMBERS = `
  CREATE TABLE numbers (space TEXT NOT NULL, number INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (space, number)) WITHOUT ROWID;`
const SCHEMA = `
  ${NUMBERS}
  CREATE TABLE last_numbers (space TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE applied (
    kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (kind, namespace, name)) WITHOUT ROWID;
  CREATE TABLE last_good (file TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
`
/**
 * What makes a database of version 2 of one of each version; 0 is a new one. Version 1 had numbers by their keys: those
 * that are given together stood far apart, and a commit wrote five times the pages.
 */
const MIGRATIONS: readonly string[] = [
  SCHEMA,
  `ALTER TABLE numbers RENAME TO former; ${NUMBERS} INSERT INTO numbers SELECT space, number, key FROM former; DROP TABLE former;`,
]
const SCHEMA_VERSION = 2

const BROKEN_HINT = 'see that the disk has room and works, then restart sluiced; until then the last programmed policy holds and nothing changes'

export class Store implements Disposable {
  readonly #database: DatabaseSync
  readonly #last: LastNumbers
  /** All numbers, since most calls ask for what is known. */
  readonly #pools = new Map<string, NumberPool>()
  /** Spaces of which the number given last is to be written. */
  readonly #given = new Set<NumberSpace>()
  readonly #statements = new Map<string, StatementSync>()
  readonly #flush: BackgroundFlush
  #inTransaction = false
  #commitLater: NodeJS.Timeout | undefined
  #broken: AgentError | undefined

  private constructor(database: DatabaseSync, path: string, last: LastNumbers) {
    this.#database = database
    this.#flush = new BackgroundFlush(`${path}-wal`)
    this.#last = last
    this.#readNumbers()
  }

  /** `last`: of the spaces whose numbers index a map, by its size. */
  static open(stateDir: string, last: LastNumbers = {}): Store {
    const path = join(stateDir, 'state.db')
    try {
      const database = new DatabaseSync(path)
      // NORMAL in WAL mode survives the death of the process, FULL also that of the machine's power: numbers that
      // pinned maps hold are gone with the power too, so NORMAL is enough for them and texts are checkpointed.
      database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 2000; PRAGMA wal_autocheckpoint = ${LOG_PAGES}`)
      migrate(database, path)
      return new Store(database, path, last)
    } catch (cause) {
      if (cause instanceof AgentError) throw cause
      throw new AgentError('STORE', `cannot use the store ${path}`, {
        cause,
        hint: 'check permissions and free space of the state folder; a damaged store can be moved away',
      })
    }
  }

  /** The number of `key`, the same for ever unless its map became too small for it; given on first use. */
  number(space: NumberSpace, key: string): number {
    const known = this.numbersOf(space).get(key)
    return known !== undefined && known <= this.#lastOf(space) ? known : this.#allocate(space, key)
  }

  /** Frees the numbers of all other keys. They are given again only after all others of their space. */
  keepNumbers(space: NumberSpace, used: ReadonlySet<string>): void {
    const unused = [...this.numbersOf(space).keys()].filter((key) => !used.has(key))
    this.freeNumbers(unused.map((key) => [space, key] as const))
  }

  /** Frees the numbers of `keys`. */
  freeNumbers(keys: readonly (readonly [space: NumberSpace, key: string])[]): void {
    if (keys.length === 0) return
    this.transaction(() => {
      for (const [space, key] of keys) this.#free(space, key)
    })
  }

  numbersOf(space: NumberSpace): ReadonlyMap<string, number> {
    return this.#pool(space).numbers
  }

  appliedManifests(): AppliedManifest[] {
    return this.#all('SELECT kind, namespace, name, text FROM applied ORDER BY kind, namespace, name').map((row) => ({
      kind: String(row['kind']),
      namespace: String(row['namespace']),
      name: String(row['name']),
      text: String(row['text']),
    }))
  }

  /** Keeps and forgets manifests that came through the API, in one transaction. */
  changeApplied({ kept, forgotten }: { readonly kept: readonly AppliedManifest[]; readonly forgotten: readonly DocumentName[] }): void {
    this.transaction(() => {
      for (const { kind, namespace, name } of forgotten) this.#run('DELETE FROM applied WHERE kind = ? AND namespace = ? AND name = ?', kind, namespace, name)
      for (const { kind, namespace, name, text } of kept) this.#run('INSERT OR REPLACE INTO applied VALUES (?, ?, ?, ?)', kind, namespace, name, text)
    })
  }

  /** Texts of manifest files as they were when they last had no error, by path. */
  lastGood(): Map<string, string> {
    const rows = this.#all('SELECT file, text FROM last_good')
    return new Map(rows.map((row) => [String(row['file']), String(row['text'])]))
  }

  /** Undefined: the file has no last good text any more. */
  changeLastGood(files: readonly { readonly file: string; readonly text: string | undefined }[]): void {
    if (files.length === 0) return
    this.transaction(() => {
      for (const { file, text } of files) {
        if (text === undefined) this.#run('DELETE FROM last_good WHERE file = ?', file)
        else this.#run('INSERT OR REPLACE INTO last_good VALUES (?, ?)', file, text)
      }
    })
  }

  /** All or nothing of what `body` writes. Nested calls join the outer one. */
  transaction<T>(body: () => T): T {
    if (this.#inTransaction) return body()
    const others = this.#database.isTransaction
    this.#inTransaction = true
    try {
      if (others) this.#database.exec('SAVEPOINT body')
      const result = body()
      if (others) this.#database.exec('RELEASE body')
      return result
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec(others ? 'ROLLBACK TO body; RELEASE body' : 'ROLLBACK')
      this.#readNumbers()
      throw error
    } finally {
      this.#inTransaction = false
    }
  }

  /** What was written survives from here on. The kernel is told of a number, and a user of success, only after it. */
  commit(): void {
    this.#write(() => this.#commit())
  }

  #commit(): void {
    clearTimeout(this.#commitLater)
    for (const space of this.#given) this.#run('INSERT OR REPLACE INTO last_numbers VALUES (?, ?)', space, this.#pool(space).given ?? 0)
    this.#given.clear()
    if (!this.#database.isTransaction) return
    this.#database.exec('COMMIT')
    this.#flush.request()
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#commitLater)
    if (this.#broken === undefined) this.commit()
    this.#flush[Symbol.dispose]()
    this.#database.close()
  }

  #readNumbers(): void {
    this.#pools.clear()
    for (const row of this.#all('SELECT space, key, number FROM numbers')) {
      this.#pool(String(row['space'])).set(String(row['key']), Number(row['number']))
    }
    for (const row of this.#all('SELECT space, number FROM last_numbers')) this.#pool(String(row['space'])).given = Number(row['number'])
  }

  #pool(space: string): NumberPool {
    const known = this.#pools.get(space) ?? new NumberPool()
    this.#pools.set(space, known)
    return known
  }

  #allocate(space: NumberSpace, key: string): number {
    const pool = this.#pool(space)
    const [first, last] = [NUMBER_SPACES[space].first, this.#lastOf(space)]
    const number = pool.next(first, last)
    if (number === undefined) {
      throw new AgentError('CAPACITY', `all ${last - first + 1} numbers for kind "${space}" are in use`, {
        ...(space in this.#last && { hint: `use fewer, or give the maps that hold a ${space} by its number more room (--map-size)` }),
      })
    }
    this.#free(space, key) // Its map became too small for the one that it had.
    this.#run('INSERT INTO numbers VALUES (?, ?, ?)', space, number, key)
    pool.set(key, number)
    pool.given = number
    this.#given.add(space)
    return number
  }

  #free(space: NumberSpace, key: string): void {
    const pool = this.#pool(space)
    const number = pool.numbers.get(key)
    if (number === undefined) return
    this.#run('DELETE FROM numbers WHERE space = ? AND number = ?', space, number)
    pool.delete(key)
  }

  #lastOf(space: NumberSpace): number {
    return this.#last[space] ?? NUMBER_SPACES[space].last
  }

  /** A commit costs more than many writes, so they wait for the next one. */
  #run(sql: string, ...values: (string | number)[]): void {
    this.#write(() => {
      if (!this.#database.isTransaction) this.#begin()
      this.#statement(sql).run(...values)
    })
  }

  /**
   * Throws `STORE` from the first write on that failed: a disk that is full keeps some numbers and loses others, so nobody
   * is to be told of any more of them until the next start reads what is there.
   */
  #write(body: () => void): void {
    if (this.#broken !== undefined) throw this.#broken
    try {
      body()
    } catch (cause) {
      throw (this.#broken = cause instanceof AgentError ? cause : new AgentError('STORE', `the store cannot be written: ${messageOf(cause)}`, { cause, hint: BROKEN_HINT }))
    }
  }

  #begin(): void {
    this.#database.exec('BEGIN IMMEDIATE')
    clearTimeout(this.#commitLater)
    this.#commitLater = setTimeout(() => this.#commitUnasked(), COMMIT_AFTER_MS)
    this.#commitLater.unref()
  }

  /** Whoever writes next is told of a failure. */
  #commitUnasked(): void {
    try {
      this.commit()
    } catch {
      // `#write` remembers it.
    }
  }

  #all(sql: string, ...values: (string | number)[]): Record<string, unknown>[] {
    return this.#statement(sql).all(...values)
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) this.#statements.set(sql, (statement = this.#database.prepare(sql)))
    return statement
  }
}

function migrate(database: DatabaseSync, path: string): void {
  const row = database.prepare('PRAGMA user_version').get()
  const version = Number(row?.['user_version'])
  if (version === SCHEMA_VERSION) return
  const steps = MIGRATIONS[version]
  if (steps === undefined) {
    throw new AgentError('STORE', `${path} has schema version ${version}, this agent knows ${SCHEMA_VERSION}`, {
      hint: 'run the agent that wrote it, or give this one another --state-dir',
    })
  }
  database.exec(`BEGIN; ${steps} PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`)
}
