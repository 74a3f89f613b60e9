module.exports = (output, context) => ({ pass: true, score: 0.5, reason: 'half of ' + context.vars.word });
