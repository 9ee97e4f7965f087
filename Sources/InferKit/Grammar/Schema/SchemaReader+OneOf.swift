import ChatTemplates

/// `oneOf` wants exactly one branch to hold. A grammar can only say that at least one does, so branches must be
/// alternatives that exclude each other: by type, by value, by a property that both require, or by a property that one
/// requires and the other does not write.
extension SchemaReader {
    private static let depth = 4

    mutating func checkDisjoint(_ branches: [Int], _ path: String) throws(GrammarError) {
        guard branches.count <= 200 else { throw .tooComplex("oneOf with more than 200 branches") }
        for (place, branch) in branches.enumerated() {
            for (otherPlace, other) in branches.enumerated().dropFirst(place + 1) {
                for left in try shapes(of: [branch]) {
                    for right in try shapes(of: [other]) where try canOverlap(left, right, Self.depth) {
                        throw .unsupportedKeyword(
                            "oneOf whose branches \(place) and \(otherPlace) can hold together (use anyOf)", path: path)
                    }
                }
            }
        }
    }

    private mutating func canOverlap(
        _ left: SchemaShape, _ right: SchemaShape, _ depth: Int
    ) throws(GrammarError) -> Bool {
        let both = try left.intersection(right)
        if both.null || !both.booleans.isEmpty { return true }
        if let number = both.number, try number.automaton() != nil { return true }
        if let string = both.string, try string.automaton() != nil { return true }
        if let array = both.array {
            let isShort = array.maximum.map { $0 < array.minimum } ?? false
            var isPossible = !isShort
            for place in 0..<min(array.minimum, array.prefix.count + 1) where isPossible {
                isPossible = try canHold(array.goal(place), depth)
            }
            if isPossible { return true }
        }
        if let object = both.object, let leftObject = left.object, let rightObject = right.object {
            // Each branch is written with its own properties only.
            let isApart =
                Self.lacks(leftObject, someRequiredBy: rightObject)
                && Self.lacks(rightObject, someRequiredBy: leftObject)
            var isPossible = !isApart
            for name in object.required where isPossible { isPossible = try canHold(object.goal(name), depth) }
            if isPossible { return true }
        }
        return false
    }

    private static func lacks(_ object: ObjectShape, someRequiredBy other: ObjectShape) -> Bool {
        guard !object.takesOthers else { return false }
        let declared = Set(object.declared.map(CodePoints.init))
        return other.required.contains { !declared.contains(CodePoints($0)) }
    }

    /// Whether a value may exist; in doubt it may.
    private mutating func canHold(_ goal: SchemaGoal, _ depth: Int) throws(GrammarError) -> Bool {
        guard depth > 0 else { return true }
        for shape in try shapes(of: goal) {
            if shape.null || !shape.booleans.isEmpty || shape.array != nil || shape.object != nil { return true }
            if let number = shape.number, try number.automaton() != nil { return true }
            if let string = shape.string, try string.automaton() != nil { return true }
        }
        return false
    }
}
