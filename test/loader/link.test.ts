import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'

import test from 'ava'

import {
  attachCgroup,
  attachTcx,
  attachXdp,
  BpfObject,
  CgroupHook,
  ensurePinned,
  interfaceIndex,
  interfaceName,
  Link,
  systemLibbpf
} from '../../loader/index.ts'
import type { Libbpf } from '../../loader/index.ts'
import { kernelTest } from '../helpers/index.ts'
import { withVethPair } from '../helpers/veth.ts'
import { checkLeaks } from './leaks.ts'

const PATH = 'build/fixtures/loader.bpf.o'
const NAMESPACE = `sluice-links-${process.pid}`
const PINS = `/sys/fs/bpf/${NAMESPACE}`
const EINVAL = 22
const EOPNOTSUPP = 95

checkLeaks(test)

function withNamespace(body: () => unknown): void {
  withVethPair({ namespace: NAMESPACE, pins: PINS }, body)
}

kernelTest('interfaces are those of the entered namespace, and of our own again afterwards', (t) => {
  withNamespace(() => {
    t.is(interfaceName(interfaceIndex('left')), 'left')
    t.throws(() => interfaceIndex('nothing'), { code: 'NOT_FOUND' })
  })
  t.throws(() => interfaceIndex('left'), { code: 'NOT_FOUND' })
})

kernelTest('an error, or a promise, in another namespace still leads back to our own', (t) => {
  const own = interfaceIndex('lo')
  t.throws(() => withNamespace(() => { throw new Error('inside') }), { message: 'inside' })
  t.throws(() => withNamespace(() => Promise.resolve()), { code: 'BAD_ARGUMENT', message: /must be synchronous/ })
  t.throws(() => interfaceIndex('left'), { code: 'NOT_FOUND' })
  t.is(interfaceIndex('lo'), own)
})

kernelTest('an XDP link attaches natively to a veth, is updated in place and detaches when disposed of', (t) => {
  withNamespace(() => {
    using object = BpfObject.open(PATH).load()
    const ifindex = interfaceIndex('left')
    {
      using link = attachXdp(object.program('xdp_record'), ifindex)
      t.is(link.fallback, undefined)
      t.like(link.info, { ifindex, programId: object.program('xdp_record').id })
      t.throws(() => attachXdp(object.program('xdp_drop'), ifindex), { message: /another XDP program/ })
      link.update(object.program('xdp_drop'))
      t.is(link.info.programId, object.program('xdp_drop').id)
    }
    using again = attachXdp(object.program('xdp_drop'), ifindex, { mode: 'generic' })
    t.is(again.info.ifindex, ifindex)
  })
})

kernelTest('where the driver refuses native XDP the link is generic and says so', (t) => {
  withNamespace(() => {
    using object = BpfObject.open(PATH).load()
    const real = systemLibbpf()
    const NATIVE = 1 << 2
    const linkCreate: Libbpf['linkCreate'] = (program, target, type, flags) =>
      flags === NATIVE ? -EOPNOTSUPP : real.linkCreate(program, target, type, flags)
    using link = attachXdp(object.program('xdp_drop'), interfaceIndex('left'), { libbpf: { ...real, linkCreate } })
    t.regex(link.fallback ?? '', /generic XDP.*EOPNOTSUPP/)
  })
})

kernelTest('TCX attaches in both directions; without TCX clsact does, and says so', (t) => {
  withNamespace(() => {
    using object = BpfObject.open(PATH).load()
    const [program, ifindex] = [object.program('tc_constants'), interfaceIndex('left')]
    using ingress = attachTcx(program, ifindex, 'ingress')
    using egress = attachTcx(program, ifindex, 'egress')
    t.deepEqual([ingress.kind, ingress.fallback, egress.kind], ['link', undefined, 'link'])
    const old = { ...systemLibbpf(), linkCreate: () => -EINVAL }
    {
      using filter = attachTcx(program, interfaceIndex('right'), 'ingress', old)
      t.is(filter.kind, 'clsact')
      t.regex(filter.fallback ?? '', /no TCX/)
      filter.update(program)
      t.regex(filters(), /tc_constants/)
    }
    t.notRegex(filters(), /tc_constants/)
  })
})

function filters(): string {
  return execFileSync('tc', ['filter', 'show', 'dev', 'right', 'ingress'], { encoding: 'utf8' })
}

kernelTest('a pinned link outlives its process, and is taken over with another program in it', (t) => {
  withNamespace(() => {
    using object = BpfObject.open(PATH).load()
    const [ifindex, path] = [interfaceIndex('left'), join(PINS, 'link')]
    const attach = (): Link => attachXdp(object.program('xdp_record'), ifindex)
    ensurePinned(path, object.program('xdp_record'), { ifindex, attach })[Symbol.dispose]()
    using taken = ensurePinned(path, object.program('xdp_drop'), { ifindex, attach })
    using opened = Link.openPinned(path)
    t.like(opened.info, { ifindex, programId: object.program('xdp_drop').id })
    t.throws(() => ensurePinned(path, object.program('xdp_drop'), { ifindex: interfaceIndex('right'), attach }), { code: 'INCOMPATIBLE' })
    t.is(taken.kind, 'link')
  })
})

/** Where the machine's cgroup2 hierarchy is mounted; the test attaches to an empty group of its own below it. */
function cgroup2Mount(): string {
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n').map((line) => line.split(' '))
  return mounts.find((fields) => fields[2] === 'cgroup2')?.[1] ?? '/sys/fs/cgroup'
}

kernelTest('a cgroup link attaches to one group and goes with its disposal', (t) => {
  const path = join(cgroup2Mount(), NAMESPACE)
  mkdirSync(path)
  const fd = openSync(path, 'r')
  try {
    using object = BpfObject.open(PATH, { programs: ['cgroup_allow'] }).load()
    const attached = (): string => execFileSync('bpftool', ['cgroup', 'show', path], { encoding: 'utf8' })
    {
      using link = attachCgroup(object.program('cgroup_allow'), fd, CgroupHook.CONNECT4)
      t.is(link.info.programId, object.program('cgroup_allow').id)
      t.regex(attached(), /cgroup_allow/)
    }
    t.notRegex(attached(), /cgroup_allow/)
  } finally {
    closeSync(fd)
    rmdirSync(path)
  }
})
