/// One token that may come next.
package struct Candidate: Sendable {
    package var id: Int32
    /// Natural-log odds up to a constant; `-inf` means that the token cannot be chosen.
    package var logit: Float
    /// Written by ``Candidates/softmax()`` and stale after any later change of a logit.
    package var probability: Float
    /// What a filter sorts by when that is not the logit.
    package var rank: Float
}
