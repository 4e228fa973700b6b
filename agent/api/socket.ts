// The API's socket in the file system: taken from nobody who answers there, and removed by its own agent only.
import { once } from 'node:events'
import { mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { connect, type Server } from 'node:net'
import { dirname } from 'node:path'
import { AgentError } from '../errors.ts'

/**
 * Listens under a name of its own that is renamed when `prepare` has given it its permissions. A closing server removes
 * the name that it was made with, whoever has it by then; here that is one that nobody uses.
 */
export async function listenAt(socket: string, server: Server, prepare: (path: string) => void): Promise<Disposable> {
  mkdirSync(dirname(socket), { recursive: true, mode: 0o755 })
  await refuseTakenSocket(socket)
  const made = `${socket}.${process.pid}`
  rmSync(made, { force: true }) // of a former process with our number
  await listen(server, made, socket)
  prepare(made)
  const own = identityOf(made)
  renameSync(made, socket)
  return { [Symbol.dispose]: () => removeOwn(socket, own) }
}

async function listen(server: Server, path: string, socket: string): Promise<void> {
  try {
    server.listen(path)
    await once(server, 'listening')
  } catch (cause) {
    throw new AgentError('UNAVAILABLE', `cannot listen on ${socket}`, { cause, hint: 'give another --socket' })
  }
}

/** Throws `LOCKED` where somebody answers. One on which nobody does was left by an agent that was killed. */
export async function refuseTakenSocket(socket: string): Promise<void> {
  const connection = connect(socket)
  try {
    await once(connection, 'connect')
  } catch {
    return
  } finally {
    connection.destroy()
  }
  throw new AgentError('LOCKED', `another process answers on ${socket}`, { hint: 'stop that agent first, or give this one another --socket' })
}

/** The inode is not given to another file while the server holds it. */
function identityOf(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat && `${stat.dev}:${stat.ino}`
}

function removeOwn(socket: string, own: string | undefined): void {
  if (identityOf(socket) === own) rmSync(socket, { force: true })
}
