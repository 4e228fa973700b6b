/**
 * Hosts in network namespaces, for the demo and the tests:
 *
 *     await using lab = await Lab.create()
 *     const node = await lab.addNode('n1')
 *     const web = await node.addWorkload({ name: 'web', number: 11, labels: { app: 'web' } })
 *     await web.serve('tcp:80')
 *     const agent = await node.startAgent()
 *     await agent.apply(web.manifest())
 *     const reply = await client.request({ address: web.addresses.ipv4, port: 80 })
 */
export * from './address.ts'
export { Agent, ApiFailure } from './agent.ts'
export { abandonedLabs, type LabObjects, objectsOf, removeAbandonedLabs, removeLab } from './cleanup.ts'
export type { Reply, Stream, Target } from './client-process.ts'
export { CommandError, inNamespace, ip, run } from './command.ts'
export { Host, type ServerPort } from './host.ts'
export { Lab, type LabOptions } from './lab.ts'
export { type AgentOptions, Node } from './node.ts'
export { bpffsRoot, missingPrivilege } from './privilege.ts'
export { commandOf, processesWith, processId } from './process.ts'
export type { Outcome } from './protocol.ts'
export { labFolder, labVariable, type LabRecord, listFolder, records, runFolder, runVariable } from './record.ts'
export { Service } from './service.ts'
export { Workload, type WorkloadSpec } from './workload.ts'
