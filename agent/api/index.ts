// What other folders may know of the API: its shapes, and who may ask. The server stays the agent's own.
export { accessHint } from './group.ts'
export * from './types.ts'
