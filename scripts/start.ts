// npm start: generates what is missing, then serves, in one process.
await import('./generate.ts');
await import('../src/main.ts');

// npm hands a SIGTERM to the shell that it started this with, and a shell like dash dies of it without handing it on.
if (process.env.npm_lifecycle_event !== undefined) {
  const parent = process.ppid;
  const watching = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watching);
    process.kill(process.pid, 'SIGTERM');
  }, 250).unref();
}

export {};
