# EVOLVE-BLOCK-START
first_number = 12
second_number = 30
print("the sum of them is", first_number + second_number)
the_answer = first_number + second_number
# EVOLVE-BLOCK-END
