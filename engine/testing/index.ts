// What other folders' tests compare with: the naive model of what policy means.

export { modelVerdict, selectorMatches, type ModelSide, type ModelVerdict } from './model.ts'
