module.exports = {
  beforeAll: async (context) => {
    context.suite.tests.push({ vars: { word: 'added' }, assert: [{ type: 'equals', value: 'added changed' }] });
    return context;
  },
  beforeEach: async (context, { hookName }) => {
    context.test.vars.word = context.test.vars.word + ' changed';
    context.test.metadata = { ...context.test.metadata, hookName };
    return context;
  },
};
