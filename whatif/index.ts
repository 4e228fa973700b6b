// What policies do to a cluster that is only written down: questions that the engine answers without an agent.
export { findEnd, nameOf, type End } from './ends.ts'
export { Expectations, type Expectation, type Verification } from './expectations.ts'
export { PORT_RANGE_SYNTAX } from './port-ranges.ts'
export { MEMBER_SYNTAX } from './members.ts'
export { Simulation, type Outcome, type Side } from './simulation.ts'
export { trace, type Facts, type TracedRule } from './trace.ts'
