/** Tags that load something, attributes that run something, addresses outside the page. */
export function outsideParts(page: string): string[] {
  const withoutNamespaces = page.replaceAll(/ xmlns(:xlink)?="[^"]*"/g, '');
  const forbidden =
    /<(script|link|img|iframe|object|embed|base|form|image|use)\b|\son\w+=|javascript:|@import|url\((?!#)|(src|href)="(?!#)/gi;
  return withoutNamespaces.match(forbidden) ?? [];
}

/** The same of a page whose texts and labels name such things: what is escaped is text. */
export function outsideMarkup(page: string): string[] {
  return outsideParts(page.replaceAll(/>[^<]*</g, '><').replaceAll(/aria-label="[^"]*"/g, ''));
}

export const count = (page: string, part: string | RegExp): number => page.split(part).length - 1;

/** What a model, a dataset or a configuration may hold. */
export const NASTY = `<img src=x onerror="alert(1)"></pre></dd></svg></script><script>alert('2')</script>&amp;`;

/** The cells of every table of a page, row by row, as a reader sees them. */
export function cellsOf(page: string): string[][] {
  const text = (markup: string): string =>
    markup
      .replaceAll(/<[^>]*>/g, '')
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&quot;', '"')
      .replaceAll('&#39;', "'")
      .replaceAll('&amp;', '&');
  return [...page.matchAll(/<tr>([\s\S]*?)<\/tr>/g)].map(([, row = '']) =>
    [...row.matchAll(/<t[dh][^>]*>([\s\S]*?)<\/t[dh]>/g)].map(([, markup = '']) => text(markup)),
  );
}
