// What other folders may know of the API: its shapes. The server stays the agent's own.
export * from './types.ts'
