// What the agent asks of the system where its root is no mount point, as in a chroot.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { kernelTest } from '../helpers/index.ts'

const namespace = `sluice-chroot-${process.pid}`
const loopback = '00:00:00:00:00:00'

/** Runs a script of Node's in a root in which all of the machine's folders are mounted; they go with the mount namespace. */
function runInChroot(root: string, script: string): string {
  const mountAll = `for d in /*; do [ -d "$d" ] && [ ! -L "$d" ] || continue; mkdir "${root}$d"; mount --rbind "$d" "${root}$d"; done`
  const links = `for d in /*; do [ ! -L "$d" ] || cp -P "$d" ${root}/; done`
  const enter = `exec chroot ${root} sh -c 'cd "$0" && exec "$1" --input-type=module -e "$2"' "$@"`
  const command = ['mount --make-rprivate /', mountAll, links, enter].join('\n')
  return execFileSync('unshare', ['--mount', 'sh', '-ec', command, 'sh', process.cwd(), process.execPath, script], { encoding: 'utf8' })
}

kernelTest('the MAC of a workload is found in its namespace, by name and by path', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'sluice-chroot-'))
  execFileSync('ip', ['netns', 'add', namespace])
  try {
    const script = `
      const { SystemInterfaces } = await import('./agent/interfaces.ts')
      for (const name of ['${namespace}', '/run/netns/${namespace}']) console.log(await new SystemInterfaces().peerMac({ peerIfindex: 1 }, name))`
    t.deepEqual(runInChroot(root, script).trim().split('\n'), [loopback, loopback])
  } finally {
    execFileSync('ip', ['netns', 'delete', namespace])
    rmSync(root, { recursive: true })
  }
})
