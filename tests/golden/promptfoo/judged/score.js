module.exports = (namedScores, context) => ({
  pass: (namedScores.m ?? 0) > 0.5,
  score: ((namedScores.m ?? 0) + (namedScores.n ?? 0)) / 2,
  reason: `m ${namedScores.m}, ${context.componentResults.length} assertions`,
});
