// One agent for a state folder. Node has no flock(2), SQLite does: an exclusive transaction held open on a database
// of its own is a POSIX lock that the kernel drops with the process, however it ends.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { AgentError } from './errors.ts'

export class StateLock implements Disposable {
  readonly #database: DatabaseSync

  private constructor(database: DatabaseSync) {
    this.#database = database
  }

  /** Takes the lock or throws `LOCKED`, naming the process that holds it. */
  static acquire(stateDir: string): StateLock {
    makeFolder(stateDir)
    const database = openDatabase(join(stateDir, 'agent.lock'))
    try {
      database.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE')
    } catch (cause) {
      database.close()
      throw new AgentError('LOCKED', `state folder ${stateDir} is in use by another sluiced${holder(stateDir)}`, {
        cause,
        hint: 'stop that agent first, or give this one another --state-dir',
      })
    }
    writeFileSync(join(stateDir, 'agent.pid'), `${process.pid}\n`)
    return new StateLock(database)
  }

  [Symbol.dispose](): void {
    this.#database.close()
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o750 })
  } catch (cause) {
    throw new AgentError('STORE', `cannot make the state folder ${path}`, { cause, hint: 'run sluiced as root, or give it another --state-dir' })
  }
}

function openDatabase(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path)
  } catch (cause) {
    throw new AgentError('STORE', `cannot open ${path}`, { cause, hint: 'check the permissions of the state folder' })
  }
}

function holder(stateDir: string): string {
  try {
    return ` (process ${readFileSync(join(stateDir, 'agent.pid'), 'utf8').trim()})`
  } catch {
    return ''
  }
}
