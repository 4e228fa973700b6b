// JUnit's XML as CI systems read it: https://github.com/testmoapp/junitxml

export interface JunitCase {
  readonly name: string
  readonly file: string
  readonly line: number
  readonly failure?: string
}

export function formatJunit(suite: string, cases: readonly JunitCase[]): string {
  const failures = cases.filter(({ failure }) => failure !== undefined).length
  const counts = `tests="${cases.length}" failures="${failures}" errors="0" skipped="0"`
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${counts}>`,
    `  <testsuite name="${escape(suite)}" ${counts}>`,
    ...cases.map((each) => formatCase(suite, each)),
    '  </testsuite>',
    '</testsuites>',
  ].join('\n')
}

function formatCase(suite: string, { name, file, line, failure }: JunitCase): string {
  const head = `    <testcase name="${escape(name)}" classname="${escape(suite)}" file="${escape(file)}" line="${line}"`
  return failure === undefined ? `${head}/>` : `${head}>\n      <failure message="${escape(failure)}"/>\n    </testcase>`
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\n': '&#10;' }

/** XML 1.0 has no other control characters at all. */
function escape(text: string): string {
  return text.replace(/[\0-\x08\x0b\x0c\x0e-\x1f]/g, '').replace(/[&<>"\n]/g, (character) => ENTITIES[character] ?? '')
}
