import { accessSync, constants, readFileSync, statfsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Where programs and maps are pinned. */
export const bpffsRoot = '/sys/fs/bpf'

const tools = ['ip', 'nsenter', 'ethtool', 'bpftool'] as const
const bpffsMagic = 0xcafe4a11 // linux/magic.h, BPF_FS_MAGIC

/** Bits of CapEff in /proc/PID/status (linux/capability.h). */
const capabilities = { NET_ADMIN: 12n, SYS_ADMIN: 21n } as const

/**
 * Why namespaces and BPF programs cannot be made here, in one clause that also says what to do; undefined if they
 * can.
 */
export function missingPrivilege(): string | undefined {
  if (process.platform !== 'linux') return `this is ${process.platform}, BPF needs Linux`
  const capability = missingCapability()
  if (capability !== undefined) return `CAP_${capability} is missing: run as root, outside a container`
  const tool = tools.find((name) => !isInstalled(name))
  if (tool !== undefined) return `the tool ${tool} is missing: run npm run setup as root`
  if (!isReadable('/sys/kernel/btf/vmlinux')) return 'the kernel has no BTF (/sys/kernel/btf/vmlinux)'
  if (!isBpffs(bpffsRoot)) return `no bpffs at ${bpffsRoot}: mount -t bpf bpf ${bpffsRoot}`
  return undefined
}

function missingCapability(): string | undefined {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))
  const effective = BigInt(`0x${line?.[1] ?? '0'}`)
  return Object.entries(capabilities).find(([, bit]) => (effective & (1n << bit)) === 0n)?.[0]
}

function isInstalled(tool: string): boolean {
  // Debian's users have no sbin in their path, and the tools stand there.
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return folders.some((folder) => isReadable(join(folder, tool)))
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch {
    return false
  }
}

function isBpffs(path: string): boolean {
  try {
    return statfsSync(path).type === bpffsMagic
  } catch {
    return false
  }
}
