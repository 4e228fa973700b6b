// Runs the engine with what a browser has: only its own files can be imported, and Node's globals are gone.

import { registerHooks } from 'node:module'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import type { VerdictQuery } from '../index.ts'

const NODE_GLOBALS = ['process', 'Buffer', 'global', 'require', 'setImmediate', 'clearImmediate']
const port = parentPort as MessagePort
const { wasm, query } = workerData as { wasm: Uint8Array; query: VerdictQuery }

registerHooks({
  resolve(specifier, context, nextResolve) {
    if (!specifier.startsWith('.')) throw new Error(`a browser has no ${specifier}, which ${context.parentURL} imports`)
    return nextResolve(specifier, context)
  },
})
for (const name of NODE_GLOBALS) Reflect.deleteProperty(globalThis, name)

const { Engine } = await import('../index.ts')
const engine = await Engine.instantiate(wasm)
engine.setEndpoint({ ifindex: 7, id: 7, identity: 300, flags: 0, mac: new Uint8Array(6), nodeMac: new Uint8Array(6), namedPorts: [] })
engine.setAddress({ address: query.to as Uint8Array, prefixLength: 128, identity: 300, flags: 2, ifindex: 7, namedPorts: [] })
engine.setPolicy('p', [{ subject: { requirements: [] }, tier: 'normal', priority: 0, isolates: { ingress: 1 }, rules: [], audit: false }])
port.postMessage({ decision: engine.verdict(query).decision, changes: engine.takeChanges().length })
