import { hideBin } from 'yargs/helpers';
import { runProgram } from './program.js';

// Whoever reads may stop reading (`ammd check … | head`), and a terminal may be closed; what is being done goes on.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
  });

process.exitCode = await runProgram(hideBin(process.argv));
