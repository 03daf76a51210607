import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { escapeHtml, html, Markup } from '../../../../ts/report/formats/markup.js';

describe('html', () => {
  test('escapes what is put in, and only that', () => {
    const name = '<script>alert("1")</script>';
    expect(html`<p title="${name}">${name}</p>`.text).toBe(
      '<p title="&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;">&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;</p>',
    );
  });

  test('markup goes in as it is; lists are joined; numbers are written', () => {
    const items = ['a&b', 'c'].map((item) => html`<li>${item}</li>`);
    expect(String(html`<ul>${items}</ul>${[]}${3}${new Markup('<hr>')}`)).toBe(
      '<ul><li>a&amp;b</li><li>c</li></ul>3<hr>',
    );
  });

  test('nothing escaped can open or close a tag or an attribute', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(escapeHtml(text)).not.toMatch(/[<>"']/);
        expect(escapeHtml(text)).not.toMatch(/&(?!(amp|lt|gt|quot|#39);)/);
      }),
    );
  });

  test('tabs and newlines stay; other control characters become visible', () => {
    expect(escapeHtml('a\tb\nc\u0000\u001b')).toBe('a\tb\nc\\x00\\x1b');
  });
});
