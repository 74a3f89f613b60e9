module.exports = (output, context) => context.vars.word.slice(0, 2);
