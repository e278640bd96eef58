import type { EvaluatedNode } from '../../policy/decision.js';
import type { ReleaseDeniedError } from '../../workload/errors.js';
import { type Impostor, refusal } from './impostors.js';
import { short } from './machine.js';
import type { Stage } from './stage.js';

/** Has each impostor try, and shows what came of it; true when each was refused with its reason. */
export async function tryImpostors(stage: Stage, impostors: readonly Impostor[]): Promise<boolean> {
  let allRefused = true;
  for (const impostor of impostors) {
    const denial = await refusal(impostor);
    const asExpected = denial?.reason === impostor.reason;
    allRefused &&= asExpected;
    if (asExpected) stage.good(`refused: ${impostor.who}`);
    else stage.bad(`${impostor.who}: expected ${impostor.reason}`);
    stage.say(denial === undefined ? '  the key came out' : `  ${denial.reason}: ${denial.detail}`);
    for (const line of unmet(denial)) stage.say(`    ${line}`);
  }
  return allRefused;
}

/** The conditions of a denial's decision that were not met, with what was expected and what was found. */
function unmet(denial: ReleaseDeniedError | undefined): readonly string[] {
  const conditions = (denial?.decision?.['conditions'] ?? []) as readonly EvaluatedNode[];
  return leaves(conditions).flatMap((condition) => {
    if (condition.met || !('claim' in condition)) return [];
    const show = (value: unknown): string =>
      [value]
        .flat()
        .map((each) => short(String(each)))
        .join(' or ');
    return [
      `${condition.claim}: ${expectation(condition.operator)} ${show(condition.expected)}, found ${show(condition.found)}`,
    ];
  });
}

/** How a comparison reads; those that are not here ask for the value itself. */
function expectation(operator: string): string {
  return operator === 'greaterOrEquals' ? 'expected at least' : 'expected';
}

function leaves(nodes: readonly EvaluatedNode[]): readonly EvaluatedNode[] {
  return nodes.flatMap((node) => ('claim' in node ? [node] : leaves([...(node.anyOf ?? []), ...(node.allOf ?? [])])));
}
