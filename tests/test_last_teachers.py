from keras_noisy_student.last_teachers import LastTeachers

A, B, C, D = TEACHERS = [object() for _ in range(4)]


def kept(teachers, num_kept):
    last = LastTeachers(num_kept)
    for teacher in teachers:
        last.add(teacher)
    return last


def test_the_last_ones_are_given_in_their_order():
    last = kept([A, B], num_kept=3)
    assert [last.up_to(C, num) for num in (1, 2, 3, 4)] == [[C], [B, C], [A, B, C], [A, B, C]]


def test_a_teacher_that_stayed_counts_once():
    last = kept([A, B, B], num_kept=3)
    assert last.up_to(B, 3) == [A, B]


def test_no_more_are_kept_than_asked_for():
    last = kept(TEACHERS, num_kept=2)
    assert last.up_to(D, 4) == [C, D]
