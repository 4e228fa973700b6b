// RE2's syntax, https://github.com/google/re2/wiki/Syntax: what regular expressions of HTTP rules are written in.

/** Escapes and classes first, so that nothing is looked for inside of them. */
const TOKEN = /\\[^]|\[\^?\]?(?:\[:\^?\w+:\]|\\[^]|[^\]\\])*\]|\(\?(?:P?<\w+>|[imsU]*(?:-[imsU]+)?[:)]|[^])/g

/** Whether it is one. JavaScript's own parser judges all that both syntaxes have alike. */
export function isRe2(pattern: string): boolean {
  const translated: string[] = []
  let end = 0
  for (const { 0: token, index } of pattern.matchAll(TOKEN)) {
    const meaning = inJavaScript(token)
    if (meaning === undefined) return false
    translated.push(pattern.slice(end, index), meaning)
    end = index + token.length
  }
  return parses(translated.join('') + pattern.slice(end))
}

/** Undefined for what RE2 lacks: backreferences, and assertions about what stands before or after. */
function inJavaScript(token: string): string | undefined {
  if (/^\\[1-9]$/.test(token)) return undefined
  if (!token.startsWith('(?')) return token
  if (token.endsWith('>')) return '('
  if (token.endsWith(':')) return '(?:'
  return token.endsWith(')') ? '' : undefined
}

function parses(pattern: string): boolean {
  try {
    return new RegExp(pattern) instanceof RegExp
  } catch {
    return false
  }
}
