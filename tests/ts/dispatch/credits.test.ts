import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { add, CREDITS, fits, NO_LOAD, subtract } from '../../../ts/dispatch/credits.js';
import { LIMITS } from '../../../ts/wire/protocol.gen.js';

const load = fc.record({ requests: fc.nat(100), bytes: fc.nat(10_000), steps: fc.nat(3) });

describe('credits', () => {
  test('are the contract’s limits', () => {
    expect(CREDITS).toEqual({
      requests: LIMITS.maxQueuedRequests,
      bytes: LIMITS.maxQueuedBytes,
      steps: LIMITS.maxStepsAhead,
    });
  });

  test('what was added can be taken away', () => {
    fc.assert(fc.property(load, load, (a, b) => expect(subtract(add(a, b), b)).toEqual(a)));
  });

  test('sending only what fits never exceeds requests or bytes, nor runs a step beyond', () => {
    fc.assert(
      fc.property(load, fc.array(load), (credits, costs) => {
        let current = NO_LOAD;
        for (const cost of costs) {
          const unanswered = current.steps;
          if (!fits(current, cost, credits)) continue;
          current = add(current, cost);
          expect(current.requests).toBeLessThanOrEqual(credits.requests);
          expect(current.bytes).toBeLessThanOrEqual(credits.bytes);
          expect(unanswered).toBeLessThan(credits.steps);
        }
      }),
    );
  });
});
