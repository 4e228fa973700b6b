// `sluice policy apply|get|delete`: the policies that the agent enforces.
import type { Command } from 'commander'
import type { ApplyResult, DeleteResult, DocumentName, PolicyItem } from '../agent/api/index.ts'
import type { AgentClient } from './client.ts'
import { agentOf, examples, group } from './command.ts'
import { CliError, EXIT } from './errors.ts'
import { describeRefusal, readManifestTexts } from './manifest-files.ts'
import { formatDetails, formatTable, outputOption, print } from './output.ts'
import type { OutputFormat } from './output.ts'

interface Options {
  readonly output: OutputFormat
}

interface FileOptions extends Options {
  readonly filename: readonly string[]
}

export function register(program: Command): void {
  const policy = group(program, 'policy', 'policies: what is enforced, what they decide and why')
  registerApply(policy)
  registerGet(policy)
  registerDelete(policy)
}

function registerApply(policy: Command): void {
  policy
    .command('apply')
    .description('enforce manifests, all or nothing; returns when the datapath holds them')
    .requiredOption('-f, --filename <path...>', 'files, folders, or - for standard input')
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        ['sluice policy apply -f web.yaml', 'one file'],
        ['sluice policy apply -f policies/ -f extra.yaml', 'every manifest of a folder and one more, in one step'],
        ['sluice policy verdict -f policies/ --from demo/a --to demo/b --port 80/TCP', 'try it before, without an agent'],
      ),
    )
    .action(apply)
}

function registerGet(policy: Command): void {
  policy
    .command('get')
    .description('what is enforced, from which source; with a name: its rules and their numbers')
    .argument('[policy]', 'namespace/name, or kind/namespace/name where the name is not unique')
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(['sluice policy get', 'a line a policy'], ['sluice policy get demo/web', 'its rules: the numbers that flows show']),
    )
    .action(get)
}

function registerDelete(policy: Command): void {
  policy
    .command('delete')
    .description('stop enforcing what was applied, all or nothing; returns when the datapath no longer holds it')
    .argument('[policy]', 'namespace/name, or kind/namespace/name where the name is not unique')
    .option('-f, --filename <path...>', 'delete every document of these files, folders, or - for standard input')
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(['sluice policy delete demo/web', 'by name'], ['sluice policy delete -f web.yaml', 'what a file applied']),
    )
    .action(remove)
}

async function apply({ filename, output }: FileOptions, command: Command): Promise<void> {
  const files = await readManifestTexts(filename)
  const answer = agentOf(command).send<ApplyResult>('PUT', '/v1/manifests', files)
  const { applied, missing = [] } = await answer.catch((error: unknown) => {
    throw describeRefusal(error, 'nothing was applied')
  })
  const row = (document: ApplyResult['applied'][number]) => [document.action, nameOf(document)]
  print(applied, output, () => formatTable(['ACTION', 'DOCUMENT'], applied.map(row)))
  for (const { what, why } of missing) console.error(`sluice: applied, but ${what}: ${why}`)
}

async function get(wanted: string | undefined, { output }: Options, command: Command): Promise<void> {
  const policies = await agentOf(command).list<PolicyItem>('/v1/policies')
  if (wanted === undefined) {
    const header = ['KIND', 'NAMESPACE', 'NAME', 'RULES', 'SOURCE', 'STATE', 'BECAUSE']
    print(policies, output, () => formatTable(header, policies.map(policyRow)))
  } else {
    const policy = findPolicy(policies, wanted)
    print(policy, output, () => details(policy))
  }
}

function policyRow({ kind, namespace, name, rules, source, file, state, warnings = [] }: PolicyItem): string[] {
  return [kind, namespace || '-', name, String(rules.length), file ?? source, state, because(warnings)]
}

function because([first = '', ...others]: readonly string[]): string {
  return others.length === 0 ? first : `${first} (and ${others.length} more)`
}

function details(policy: PolicyItem): string {
  const rules = policy.rules.map(({ number, action, text, description = '' }) => [String(number), action, text, description.trim()])
  const head = formatDetails([
    ['Policy', nameOf(policy)],
    ['Source', policy.file ?? policy.source],
    ['State', policy.state],
    ['Warnings', (policy.warnings ?? []).join('\n')],
  ])
  return `${head}\n\n${formatTable(['RULE', 'ACTION', 'TEXT', 'DESCRIPTION'], rules)}`
}

async function remove(wanted: string | undefined, options: Partial<FileOptions> & Options, command: Command): Promise<void> {
  const { deleted } = await deletionOf(agentOf(command), wanted, options.filename).catch((error: unknown) => {
    throw describeRefusal(error, 'nothing was deleted')
  })
  print(deleted, options.output, () => formatTable(['ACTION', 'DOCUMENT'], deleted.map((name) => ['deleted', nameOf(name)])))
}

async function deletionOf(agent: AgentClient, wanted?: string, filename?: readonly string[]): Promise<DeleteResult> {
  if (wanted !== undefined && filename === undefined) {
    return deletePolicy(agent, findPolicy(await agent.list<PolicyItem>('/v1/policies'), wanted))
  }
  if (wanted === undefined && filename !== undefined) {
    return agent.send<DeleteResult>('DELETE', '/v1/manifests', await readManifestTexts(filename))
  }
  throw new CliError('what to delete? Give either the name of one policy or -f with files', { exitStatus: EXIT.usage })
}

async function deletePolicy(agent: AgentClient, { kind, namespace, name }: DocumentName): Promise<DeleteResult> {
  const path = [kind, namespace || '_', name].map(encodeURIComponent).join('/')
  return agent.delete<DeleteResult>(`/v1/policies/${path}`)
}

/** `wanted`: name, namespace/name or kind/namespace/name. Throws CliError where it is none or several. */
function findPolicy(policies: readonly PolicyItem[], wanted: string): PolicyItem {
  const found = policies.filter((policy) => namesOf(policy).includes(wanted))
  const [only, ...others] = found
  if (only === undefined) {
    throw new CliError(`no policy "${wanted}" is enforced here: \`sluice policy get\` lists those that are`)
  }
  if (others.length > 0) {
    const choices = found.map((policy) => `  ${pathOf(policy)}`).join('\n')
    throw new CliError(`"${wanted}" names ${found.length} policies: say which\n${choices}`)
  }
  return only
}

function namesOf(policy: PolicyItem): readonly string[] {
  const { namespace, name } = policy
  return [name, namespace === '' ? name : `${namespace}/${name}`, pathOf(policy)]
}

function pathOf({ kind, namespace, name }: DocumentName): string {
  return [kind, namespace, name].filter((part) => part !== '').join('/')
}

/** "CiliumNetworkPolicy demo/web", as flows name it. */
function nameOf({ kind, namespace, name }: DocumentName): string {
  return `${kind} ${namespace === '' ? name : `${namespace}/${name}`}`
}
