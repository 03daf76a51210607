import { evaluatedSets } from '../evaluated.js';
import type { Findings } from '../findings.js';
import type { RunConfig } from '../schema.js';
import { checkEngine } from './engine.js';
import { checkLossForm } from './loss_form.js';
import { checkRollouts } from './rollouts.js';
import { checkSplits } from './splits.js';
import { checkStage } from './stage.js';

function usedNames(config: RunConfig): { readonly data: Set<string>; readonly models: Set<string> } {
  const data = new Set<string>();
  const models = new Set<string>();
  for (const stage of Object.values(config.stages)) {
    for (const reference of [stage.student, stage.teacher]) {
      if (typeof reference === 'string') models.add(reference);
    }
    const parts = Object.values(stage.method.sources).map((source) => source.data);
    for (const name of [stage.data.train, ...evaluatedSets(stage.data), ...parts])
      if (name !== null) data.add(name);
  }
  return { data, models };
}

/** Checks what lies across the parts of a run configuration. Errors and warnings go to `findings`. */
export function checkConfig(config: RunConfig, findings: Findings): void {
  const stages = Object.entries(config.stages);
  if (stages.length === 0) findings.error(['stages'], 'a run needs at least one stage');
  stages.forEach(([name, stage], index) => {
    const earlier = stages.slice(0, index).map(([other]) => other);
    checkStage(name, stage, config, earlier, findings);
    checkEngine(stage, name, config.worker, findings);
    checkLossForm(stage, name, config.worker, findings);
  });
  checkRollouts(config, findings);
  checkSplits(config, findings);
  for (const [name, { template, template_options }] of Object.entries(config.data)) {
    if (Object.keys(template_options ?? {}).length > 0 && template !== 'chat')
      findings.error(['data', name, 'template_options'], 'are of `template: chat`; leave them out');
  }
  const used = usedNames(config);
  for (const kind of ['data', 'models'] as const) {
    for (const name of Object.keys(config[kind])) {
      if (!used[kind].has(name)) findings.warn([kind, name], 'no stage uses it');
    }
  }
}
