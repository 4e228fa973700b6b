import { execFileSync } from 'node:child_process'
import { inNetworkNamespace, makePinDirectory, removePins } from '../../loader/index.ts'

export interface VethPlace {
  /** Name of the namespace that is made and removed. */
  readonly namespace: string
  /** Folder on a bpffs, likewise. */
  readonly pins: string
}

/** Runs in a namespace with a veth pair, left <-> right, both up. */
export function withVethPair({ namespace, pins }: VethPlace, body: () => unknown): void {
  const ip = (...args: string[]): void => void execFileSync('ip', ['-n', namespace, ...args])
  execFileSync('ip', ['netns', 'add', namespace])
  try {
    ip('link', 'add', 'left', 'type', 'veth', 'peer', 'name', 'right')
    for (const name of ['left', 'right', 'lo']) ip('link', 'set', name, 'up')
    makePinDirectory(pins)
    inNetworkNamespace(`/run/netns/${namespace}`, body)
  } finally {
    removePins(pins)
    execFileSync('ip', ['netns', 'delete', namespace])
  }
}
