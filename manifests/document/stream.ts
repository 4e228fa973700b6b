// The YAML documents of a text, one at a time and within bounds: the parser alone would hold a whole file at once, and
// takes four hundred bytes of memory for every token.
import { Composer, Lexer, LineCounter, Parser, type Document, type ParsedNode } from 'yaml'
import { TOO_LARGE } from './source.ts'

/** Tokens of one document: twice those of the largest object that Kubernetes takes (etcd's 1.5 MiB). */
const DOCUMENT_LIMIT = 1_000_000
/** Of a file. */
const FILE_LIMIT = 4_000_000
/** A few times what any kind has: the parser calls itself for every level, until the stack ends. */
const DEPTH_LIMIT = 200
/** What an empty document costs, in tokens. */
const DOCUMENT_COST = 10

const TOO_LONG: Excess = {
  problem: TOO_LARGE,
  allowed: `${DOCUMENT_LIMIT} tokens a document, ${FILE_LIMIT} a file: give large ones in parts`,
}
const TOO_DEEP: Excess = { problem: `nested deeper than ${DEPTH_LIMIT} levels` }

export type YamlDocument = Document.Parsed<ParsedNode>

/** What is over a bound. */
export interface Excess {
  readonly problem: string
  readonly allowed?: string
}

/** A document, or the place of the token that is one too many: nothing comes after that. */
export type Streamed = { readonly document: YamlDocument } | { readonly excess: Excess; readonly offset: number }

export function* streamDocuments(text: string, lines: LineCounter): Generator<Streamed> {
  const parser = new Parser(lines.addNewLine)
  // Duplicate keys are looked for elsewhere: the composer compares every key with every other.
  const composer = new Composer({ prettyErrors: false, uniqueKeys: false, stringKeys: true })
  const count = { document: 0, file: 0 }
  lines.addNewLine(0)
  for (const lexeme of new Lexer().lex(text)) {
    if (++count.document > DOCUMENT_LIMIT || ++count.file > FILE_LIMIT) return yield { excess: TOO_LONG, offset: parser.offset }
    for (const token of parser.next(lexeme)) {
      count.document = 0
      count.file += DOCUMENT_COST
      for (const document of composer.next(token)) yield { document: document as YamlDocument }
    }
    if (parser.stack.length > DEPTH_LIMIT) return yield { excess: TOO_DEEP, offset: parser.offset }
  }
  for (const token of parser.end()) for (const document of composer.next(token)) yield { document: document as YamlDocument }
  for (const document of composer.end()) yield { document: document as YamlDocument }
}
