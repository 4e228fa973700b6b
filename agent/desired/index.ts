// What is wanted of the datapath, as manifests and interfaces say.
export type { AddressFact } from './addresses.ts'
export { Desired, type DesiredOptions, endpointId, isLocal } from './desired.ts'
export type { Identities, Identity, Numbers } from './identities.ts'
export { Inputs } from './inputs.ts'
export type { WholePrefilter } from './prefilter.ts'
export { IPV4_WORLD, IPV6_WORLD, RESERVED_LABELS } from './reserved.ts'
