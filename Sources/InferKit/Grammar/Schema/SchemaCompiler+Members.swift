import ChatTemplates

/// The members of objects: declared ones in their order, then others.
///
/// Where there may be others, a model that has left out an optional member may remember it: it may still come among the
/// others. With the name taken out of theirs and nowhere else to be, it could be begun and not be closed, and the way out
/// would be a name that only looks like it.
extension SchemaCompiler {
    /// Most rules for which it is kept in mind which optional members are still to come. With more of them any may come
    /// late, also a second time.
    private static let mostTrackedPlaces = 128

    /// The members with white space around them.
    mutating func members(
        _ shape: ObjectShape, _ others: [OtherMembers], _ level: Int
    ) throws(GrammarError) -> GrammarExpression {
        let required = Set(shape.required.map(CodePoints.init))
        // A count beyond the minimum, or beyond the first member, only matters up to a maximum.
        let counts = shape.maximum ?? max(shape.minimum, 1)
        guard (shape.declared.count + 1) * (counts + 1) <= GrammarLimits.rules / 4 else {
            throw .tooComplex("counts of many properties")
        }
        let colon = notation.colon(level: level)
        var declared: [Member] = []
        for name in shape.declared {
            let text = GrammarExpression.sequence([
                try notation.key(name, level: level), colon, try value(shape.goal(name), level + 1),
            ])
            declared.append(Member(text: text, isRequired: required.contains(CodePoints(name))))
        }
        var otherChoices: [GrammarExpression] = []
        for other in others {
            let key = try notation.key(other.names, level: level)
            otherChoices.append(.sequence([key, colon, try value(other.goal, level + 1)]))
        }
        var list = MemberList(
            declared: declared, other: nil, minimum: shape.minimum, maximum: shape.maximum, counts: counts,
            start: space(level + 1), last: space(level))
        guard !others.isEmpty else { return members(list) }

        let optional = declared.filter { !$0.isRequired }
        if !optional.isEmpty, optional.count < 8, (counts + 1) << (optional.count + 1) <= Self.mostTrackedPlaces {
            list.other = grammar.add("other member", .choice(otherChoices))
            return trackedMembers(list)
        }
        for member in optional { otherChoices.append(member.text) }
        list.other = grammar.add("other member", .choice(otherChoices))
        return members(list)
    }

    private struct Member {
        var text: GrammarExpression
        var isRequired: Bool
    }

    private struct MemberList {
        var declared: [Member]
        /// A member that is not declared; nil: there are none.
        var other: GrammarExpression?
        var minimum: Int
        var maximum: Int?
        /// Counts of members that make a difference: 0 to this, which stands for itself and more.
        var counts: Int
        /// Before the first member and behind the last.
        var start: GrammarExpression
        var last: GrammarExpression

        func isFull(_ count: Int) -> Bool { maximum.map { count >= $0 } ?? false }
        func next(_ count: Int) -> Int { min(count + 1, counts) }
        func before(_ count: Int) -> GrammarExpression { count > 0 ? .sequence([.text(","), start]) : start }

        /// Behind all declared members.
        func end(_ count: Int) -> GrammarExpression {
            let minimum = max(0, minimum - count)
            let maximum = maximum.map { $0 - count }
            guard let other, maximum != 0 else { return minimum > 0 ? .never : count > 0 ? last : .empty }
            let following = GrammarExpression.sequence([before(1), other])
            guard count == 0 else {
                return .sequence([.repeated(following, minimum: minimum, maximum: maximum), last])
            }
            let more = GrammarExpression.repeated(
                following, minimum: max(0, minimum - 1), maximum: maximum.map { $0 - 1 })
            let some = GrammarExpression.sequence([start, other, more, last])
            return minimum == 0 ? .optional(some) : some
        }
    }

    /// A rule for what may follow after each declared name and each count of members that makes a difference.
    private mutating func members(_ list: MemberList) -> GrammarExpression {
        var following = (0...list.counts).map { grammar.add("members", list.end($0)) }
        for member in list.declared.reversed() {
            following = (0...list.counts).map { count in
                let written = GrammarExpression.sequence([
                    list.before(count), member.text, following[list.next(count)],
                ])
                var choices = list.isFull(count) ? [] : [written]
                if !member.isRequired { choices.append(following[count]) }
                return grammar.add("members", .choice(choices))
            }
        }
        return following[0]
    }

    /// Where the members of an object stand.
    private struct MemberPlace: Hashable {
        /// The declared member whose turn it is.
        var next = 0
        /// Those before it that were left out.
        var missing: Set<Int> = []
        var count = 0
    }

    /// The same with a rule for each set of optional members that were left out.
    private mutating func trackedMembers(_ list: MemberList) -> GrammarExpression {
        var rules: [MemberPlace: Int] = [:]
        var pending: [MemberPlace] = []
        func rule(_ place: MemberPlace) -> GrammarExpression {
            if let known = rules[place] { return .rule(known) }
            let made = grammar.reserve("members")
            rules[place] = made
            pending.append(place)
            return .rule(made)
        }
        let first = rule(MemberPlace())
        while let place = pending.popLast() {
            var choices: [GrammarExpression] = []
            func write(_ member: GrammarExpression, _ change: (inout MemberPlace) -> Void) {
                guard !list.isFull(place.count) else { return }
                var behind = place
                behind.count = list.next(place.count)
                change(&behind)
                choices.append(.sequence([list.before(place.count), member, rule(behind)]))
            }
            if place.next < list.declared.count {
                let member = list.declared[place.next]
                write(member.text) { $0.next += 1 }
                if !member.isRequired {
                    var without = place
                    without.next += 1
                    without.missing.insert(place.next)
                    choices.append(rule(without))
                }
            } else {
                if place.count >= list.minimum { choices.append(place.count > 0 ? list.last : .empty) }
                if let other = list.other { write(other) { _ in } }
                for late in place.missing.sorted() { write(list.declared[late].text) { $0.missing.remove(late) } }
            }
            if let number = rules[place] { grammar.rules[number].body = .choice(choices) }
        }
        return first
    }
}

extension ScalarAutomaton {
    /// What is common in names of programs.
    private static let nameScalars = ScalarSet(
        of: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."
    ).union(
        ScalarSet([0x80...ScalarSet.last]))

    /// These texts, and all that go on from one of them with something that is uncommon in names, such as a quotation
    /// mark or a blank.
    static func names(like texts: [String]) -> ScalarAutomaton {
        var states = ScalarAutomaton(texts: texts).states
        let anything = states.count
        for index in states.indices where states[index].accepts {
            states[index].transitions.removeAll { $0.scalars.intersection(nameScalars).isEmpty }
            states[index].transitions.append(Transition(scalars: nameScalars.complement, target: anything))
        }
        states.append(State(transitions: [Transition(scalars: .all, target: anything)], accepts: true))
        return ScalarAutomaton(states: states)
    }
}
