// The empty process of startup.mjs: what Node itself takes to run a module and print a line.
console.log('0');
