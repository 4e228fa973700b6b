// Interfaces and network namespaces.

import { closeSync, openSync } from 'node:fs'

import { LoaderError, systemError } from './errors.ts'
import { systemLibbpf } from './libbpf.ts'

const OWN_NAMESPACE = '/proc/thread-self/ns/net'

/** Index of an interface of the calling thread's namespace. Throws LoaderError `NOT_FOUND`. */
export function interfaceIndex(name: string, libbpf = systemLibbpf()): number {
  const ifindex = libbpf.interfaceIndex(name)
  if (ifindex < 0) throw new LoaderError('NOT_FOUND', `there is no interface ${name} in this network namespace (ip link lists them)`, { errno: -ifindex })
  return ifindex
}

/** undefined where there is no such interface (any more). */
export function interfaceName(ifindex: number, libbpf = systemLibbpf()): string | undefined {
  return libbpf.interfaceName(ifindex)
}

/**
 * Runs `body` in another network namespace (a path such as /run/netns/NAME), and comes back.
 *
 * A namespace belongs to a thread. `body` is synchronous, so that nothing else runs on this thread meanwhile, and must
 * start no worker and no asynchronous work: a thread of Node's pool that is born inside would stay there. If the way
 * back fails, the process ends: its main thread would act on the wrong interfaces from then on.
 */
export function inNetworkNamespace<T>(path: string, body: () => T, libbpf = systemLibbpf()): T {
  const own = openSync(OWN_NAMESPACE, 'r')
  try {
    enter(path, libbpf)
    try {
      return checkSynchronous(body())
    } finally {
      const error = libbpf.enterNamespace(own)
      if (error < 0) {
        console.error(systemError('come back from network namespace ' + path, -error).message)
        process.abort()
      }
    }
  } finally {
    closeSync(own)
  }
}

function enter(path: string, libbpf: ReturnType<typeof systemLibbpf>): void {
  const fd = openSync(path, 'r')
  try {
    const error = libbpf.enterNamespace(fd)
    if (error < 0) throw systemError(`enter network namespace ${path}`, -error)
  } finally {
    closeSync(fd)
  }
}

function checkSynchronous<T>(result: T): T {
  if (result instanceof Promise) throw new LoaderError('BAD_ARGUMENT', 'what runs in another network namespace must be synchronous')
  return result
}
