// What policies do to a cluster that is only written down: questions that the engine answers without an agent.
export { findEnd, nameOf, type End } from './ends.ts'
export { Simulation, type Outcome, type Side } from './simulation.ts'
export { trace, type Facts, type TracedRule } from './trace.ts'
